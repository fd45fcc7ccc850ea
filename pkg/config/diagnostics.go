package config

import "kooperd.dev/kooperd/pkg/config/internal/diagnostic"

// Diagnostics are all mistakes of a config, sorted by position. It is the error that Load returns
// for a bad config, and it is never empty there. Error returns one line for each mistake, and
// JSONLines one JSON object for each.
type Diagnostics = diagnostic.Diagnostics

// Diagnostic is one mistake in a config: where it is, the path of its field, a message, a hint, and
// the other places that take part in it. String returns it as one line, file:line:column: path:
// message; hint.
type Diagnostic = diagnostic.Diagnostic

// Position is a place in a file, as messages print it: File, Line and Column, the latter two
// counting from 1. A Line of 0 means the file as a whole. String returns file:line:column, or the
// file alone.
type Position = diagnostic.Position
