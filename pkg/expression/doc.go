// Package expression is the language in which a config speaks of the fields of objects: paths, and
// expressions in CEL.
//
// It reads and checks that language, and evaluates expressions on decoded objects. It knows the
// fields of the kinds of Kubernetes itself. It does not know what a result is for.
//
//	path, err := expression.ParsePath("metadata.annotations.\"example.com/seen\"")
//	condition, err := language.Condition("object.spec.replicas != oldObject.spec.replicas", kind)
package expression
