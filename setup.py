"""How lowhaio is built and installed."""

import pathlib
import re

from setuptools import setup

# Links and pictures that lead into this repository lead nowhere where only the README is shown
README = pathlib.Path(__file__).with_name('README.md').read_text(encoding='utf-8')
DESCRIPTION = re.sub(r'\[([^]]*)\]\((?!https?:)[^)]*\)', r'\1', re.sub(r'!\[.*\)\n\n', '', README))

setup(
    name='lowhaio',
    version='0.2.0',
    description='A lightweight asyncio HTTP/1.1 client: one module, one dependency, no tasks',
    long_description=DESCRIPTION,
    long_description_content_type='text/markdown',
    license='MIT',
    license_files=['LICENSE'],
    py_modules=['lowhaio'],
    packages=['lowhaio-stubs'],
    package_data={'lowhaio-stubs': ['*.pyi']},
    python_requires='>=3.11',
    install_requires=['aiodnsresolver>=0.0.157'],
    extras_require={
        'benchmark': [
            'aiohttp>=3.10',
            'httpx>=0.28',
            'httpx2>=2.0',
            'niquests>=3.15',
            'pyreqwest>=0.15',
            'tqdm>=4.66',
            'trustme>=1.2',
            'uvloop>=0.21; sys_platform != "win32"',
            'wreq>=0.13',
        ],
        'dev': [
            'aiofastforward>=0.0.26',
            'aiohttp>=3.10',
            'botocore>=1.35',
            'build>=1.2',
            'certifi',
            'check-wheel-contents>=0.6',
            'coverage>=7.6',
            'cryptography>=43',
            'granian>=2.0',
            'h11>=0.16',
            'httptools>=0.6',
            'hypercorn>=0.17',
            'hypothesis>=6.100',
            'lowhaio-aws-sigv4==0.0.4',
            'lowhaio-aws-sigv4-unsigned-payload==0.0.4',
            'lowhaio-chunked==0.0.5',
            'lowhaio-redirect==0.0.1',
            'lowhaio-retry==0.0.5',
            "moto[s3,server]>=5.1; python_version < '3.14'",      # what it needs is not there yet
            'mypy==2.4.1',
            'pytest>=8.3',
            'ruff==0.17.6',
            'starlette>=0.40',
            'tqdm>=4.66',
            'trustme>=1.2',
            'twine>=6.0',
            'types-tqdm>=4.66',
            'urllib3>=2',
            'uvicorn>=0.30',
            'uvloop>=0.21; sys_platform != "win32"',
        ],
        'loops': [      # of which the tests try whatever is there
            'PySide6-Essentials>=6.8',
            'qasync>=0.28',
            'rloop>=0.2',
        ],
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Framework :: AsyncIO',
        'Intended Audience :: Developers',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Programming Language :: Python :: 3.14',
        'Programming Language :: Python :: 3.15',
        'Topic :: Internet :: WWW/HTTP',
    ],
)
