// Package engine turns a Config into running controllers, one for each definition: source → filter
// → queue → workers → handler.
//
// It does not know leases: its caller says, by a context, how long the work may go on. Caches are
// kept from the start of Run, so a standby is warm; objects are handled only within Work.
//
//	eng, err := engine.New(engine.Options{Cluster: cluster, …})
//	eng.Apply(cfg)    // and again whenever the config has changed
//	go eng.Run(ctx)
//	eng.Work(term, drain, engine.UnderLease)
//
// A controller lives as long as its definition. Its rollout hands over from one revision of the
// definition to the next; a revision has a handler and a watchSet. In each term, a dispatcher lets
// the workers of a revision handle the keys of the queue, and a reconciler makes each call.
package engine
