// Package compose is the runtime of composers: it brings the children of a parent in line with what
// a composer says, and keeps them so. It applies, proves ownership, prunes, sets drift right and
// writes the status.
//
// It is not a framework for controllers: queues, retries, terms and caches are the engine's, for
// which a Reconciler is one more handler. It has no goroutine that outlives a call.
//
// Plan decides, as a pure function of what is desired and what is observed; a Reconciler observes,
// carries out and looks again. Carrying out a plan twice does no harm, and what is remembered
// between two calls only makes it faster:
//
//	r := compose.New(compose.Options{Composer: composer, …})
//	result, err := r.Handle(ctx, handlers.Request{Object: parent})
//
// A child may move from one definition to another, without being made anew. The one that it comes
// from is its donor, the other one, which has the id of the donor in formerly, its heir. Moves is
// where both find out what the other one wants.
package compose
