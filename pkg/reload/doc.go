// Package reload reads the config again when it has changed and makes it what runs, or says why it
// does not. It decides about a config as a whole; which definition changes when is decided by the
// engine. It knows no leases: that a replica leads is said to it by Lead.
//
//	r, err := reload.Start(ctx, reload.Options{Source: reload.Paths("controllers.cue"), …})
//	engine.Apply(r.Running())
//	r.Run(ctx)
package reload
