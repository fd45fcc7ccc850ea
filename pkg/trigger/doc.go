// Package trigger decides which changes of an object call the handler of its definition: the fields
// of `ignore` and the expression of `where`.
//
// It does not know how objects arrive, are kept or are compared, which is pkg/kube, nor what
// follows a decision, which is pkg/engine.
//
//	filter, err := compiler.Filter(kind, []string{"status"}, nil)
package trigger
