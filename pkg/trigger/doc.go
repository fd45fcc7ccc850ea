// Package trigger is the language in which a definition says which changes of an object call its
// handler: the paths of `ignore` and the CEL expression of `where`.
//
// It reads and checks that language and evaluates expressions on decoded objects. It does not know
// how objects arrive, are kept or are compared, which is pkg/kube, nor what follows a decision,
// which is pkg/engine.
//
//	path, err := trigger.ParsePath("metadata.annotations.\"example.com/seen\"")
//	condition, err := language.Compile("object.spec.replicas != oldObject.spec.replicas")
package trigger
