"""How lowhaio is built and installed."""

import pathlib

from setuptools import setup

setup(
    name='lowhaio',
    version='0.1.0',
    description='A lightweight asyncio HTTP/1.1 client: one module, one dependency, no tasks',
    long_description=pathlib.Path(__file__).with_name('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='MIT',
    license_files=['LICENSE'],
    py_modules=['lowhaio'],
    python_requires='>=3.11',
    install_requires=['aiodnsresolver>=0.0.157'],
    extras_require={
        'dev': [
            'aiofastforward>=0.0.26',
            'aiohttp>=3.10',
            'coverage>=7.6',
            'granian>=2.0',
            'h11>=0.16',
            'httptools>=0.6',
            'hypercorn>=0.17',
            'hypothesis>=6.100',
            'pytest>=8.3',
            'ruff==0.17.6',
            'trustme>=1.2',
            'uvicorn>=0.30',
            'uvloop>=0.21; sys_platform != "win32"',
        ],
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Framework :: AsyncIO',
        'Intended Audience :: Developers',
        'Operating System :: MacOS',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Internet :: WWW/HTTP',
    ],
)
