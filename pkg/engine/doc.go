// Package engine turns a Config into running controllers: source → queue → workers → handler, one controller for each
// definition.
//
// It does not know leases: whoever runs it says, by a context, how long the work may go on. Caches are kept from the
// start of Run, so that a standby is warm; objects are handled only within Work.
//
//	eng, err := engine.New(engine.Options{Config: cfg, Cluster: cluster, …})
//	go eng.Run(ctx)
//	err = eng.Work(term, drain, engine.UnderLease)
package engine
