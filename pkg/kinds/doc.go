// Package kinds answers one question for all commands and the daemon: what is this kind or this
// resource? Is it served, what is its resource called, has it namespaces, which verbs and
// subresources does it have?
//
// BuiltIn answers from a table of what Kubernetes has, to which the kinds of
// CustomResourceDefinitions can be added; it contacts nothing. Discovery asks an API server. Both
// are a Finder, and their errors have the same types.
//
//	resource, err := kinds.Watchable(ctx, kinds.BuiltIn(), corev1.SchemeGroupVersion.WithKind("Node"), false)
package kinds
