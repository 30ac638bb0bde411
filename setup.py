"""What pyproject.toml cannot say: the wheel carries the recipes, whose one home is the folder beside the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithRecipes(build_py):
    """Copies recipes/*.py into the package that is built, as tlnlp/recipes."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "tlnlp" / "recipes"
            target.mkdir(parents=True, exist_ok=True)
            for file in Path("recipes").glob("*.py"):
                shutil.copy(file, target)


setup(cmdclass={"build_py": WithRecipes})
