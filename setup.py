"""Packaging of hydra-cached: a plugin in the namespace ``hydra_plugins`` and the library it calls."""

from pathlib import Path

from setuptools import find_namespace_packages, setup

HERE = Path(__file__).parent

JOBLIB = ["hydra-joblib-launcher", "joblib<1.6"]
LAUNCHERS = [*JOBLIB, "hydra-submitit-launcher"]
RAY = ["hydra-ray-launcher", "ray", "joblib<1.6"]
OPTUNA = ["hydra-optuna-sweeper"]
EXAMPLE = ["scikit-learn", "matplotlib"]
REMOTE = {"s3": ["s3fs"], "azure": ["adlfs"], "gcs": ["gcsfs"], "sftp": ["sshfs"]}
PROGRESS = ["tqdm"]
TEST = [
    *REMOTE["s3"],
    *PROGRESS,
    "moto[server]>=5",
    "pytest>=7.4",
    "hypothesis>=6.90",
    "hydra-zen>=0.13",
    "numpy",
    "pandas",
    "mypy>=1.8",
    "ruff>=0.5",
    "types-PyYAML",
]

setup(
    name="hydra-cached",
    version="0.1.0",
    description="A cache for hydra.utils.instantiate: unchanged pipeline stages are served, not computed again",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    # Naming the directory has setuptools use a plain .pth file for editable installs; its import hook would hide
    # the namespace package from the plugin scan of Hydra 1.3.
    package_dir={"": "."},
    # hydra_plugins is a namespace that Hydra's plugins share: it must not have an __init__.py.
    packages=find_namespace_packages(include=["hydra_cached", "hydra_cached.*", "hydra_plugins.*"]),
    package_data={"hydra_cached": ["py.typed"]},
    install_requires=[
        "hydra-core>=1.3.2,<1.5",
        "omegaconf>=2.3",
        "fsspec",
        "cloudpickle>=2.2",
        "blake3>=1.0",
    ],
    extras_require={
        "example": EXAMPLE,
        "joblib": JOBLIB,
        "launchers": LAUNCHERS,
        "optuna": OPTUNA,
        "ray": RAY,
        **REMOTE,
        "progress": PROGRESS,
        "test": TEST + EXAMPLE,
    },
    entry_points={
        "console_scripts": [
            "instantiate = hydra_cached.cli.instantiate:main",
            "hydra-cached = hydra_cached.cli.manage:main",
        ],
        # Hydra 1.4 finds plugins by entry point as well as by scanning hydra_plugins; an editable install
        # of a namespace package can only be found this way.
        "hydra.plugins": [
            "hydra_cached = hydra_plugins.hydra_cached.config_group:CacheSearchPath",
            "hydra_cached_py = hydra_plugins.hydra_cached.module_source:ModuleConfigSource",
            "hydra_cached_py_path = hydra_plugins.hydra_cached.module_source:ModuleSearchPath",
            "hydra_cached_launcher = hydra_plugins.hydra_cached.launcher:CachedLauncher",
        ],
    },
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Framework :: Hydra",
    ],
)
