"""A data folder as files that other programs can read, and back: `export_folder`, `import_folder`."""

from .importing import Imported, import_folder
from .staging import Wanted
from .writing import Exported, export_folder

__all__ = ["Exported", "Imported", "Wanted", "export_folder", "import_folder"]
