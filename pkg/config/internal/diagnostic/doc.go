// Package diagnostic has the form that every mistake in a config is reported in: a position, a
// path, a message and a hint, and how texts of the user are quoted in them. It knows nothing of the
// config language.
package diagnostic
