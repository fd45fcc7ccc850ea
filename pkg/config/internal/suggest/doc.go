// Package suggest guesses what a text was meant to be: a name close to another one, a duration, a
// DNS label, a kind or a group version of Kubernetes. Its answers are the hints of diagnostics,
// without a position.
package suggest
