"""The crash matrix of an engine that does not sync: python -m mutant MATRIX-ARGUMENTS (journal|spec)."""

import os
import sys

from dracore.prepare import openfile
from dracore.testing.crash.__main__ import main


def without_journal_syncs():
    connect = openfile.connect

    def careless(*arguments):
        connection = connect(*arguments)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    openfile.connect = careless


def without_spec_syncs():
    from dracore.cdi import files

    class CarelessOs:
        def __getattr__(self, name):
            return getattr(os, name)

        def fsync(self, file):
            pass

    files.os = CarelessOs()


if __name__ == "__main__":
    {"journal": without_journal_syncs, "spec": without_spec_syncs}[sys.argv.pop()]()
    sys.exit(main(sys.argv[1:]))
