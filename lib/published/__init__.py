"""Published figures of a study: read, compared with each other, and judged by the rules of every claim."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "agreement": ["ERRORS", "TOLERANCE"],
        "effects": ["subject_of"],
        "figures": ["COLUMNS", "Column", "NotPublished", "Published"],
        "findings": ["audit_document"],
        "judging": ["FigureJudge"],
        "reading": ["FOLDER", "read"],
    },
)
