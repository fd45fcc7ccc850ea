// Package handlers is the contract between the engine and the code that does the work: Object,
// Request, Result, Handler, Composer, Plugin and Registry. A plugin is a named kind of handler,
// compiled in and listed explicitly; a handler is what a plugin makes from one definition's config.
// A composer is the second shape of a handler: it says which objects should exist, and kooperd
// makes them.
//
// It is not a framework of its own: it starts no goroutine, talks to no API server and imports no
// plugin. The built-in plugins are folders below this one.
//
// The shortest plugin is one function:
//
//	handlers.Func(func(ctx context.Context, pod *corev1.Pod) error { … })
//
// The shortest composer is one, too:
//
//	handlers.Compose(func(ctx context.Context, ns *corev1.Namespace, observed handlers.Children) (
//		handlers.Composition, error) { … })
package handlers
