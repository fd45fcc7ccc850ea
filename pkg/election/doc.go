// Package election turns one coordination.k8s.io/v1 Lease into terms of leadership.
//
// An [Elector] competes for the Lease and calls its caller's function for the length of a term. It is not a wrapper around
// client-go's tools/leaderelection: it shares only the format of the Lease with it, so that candidates of both kinds can
// compete for one Lease. It is not a fence either: it says until when leadership may be relied on ([Elector.Remaining]), and
// the client of the API server has to ask before each write. Package fence has the fence.
//
// The rules it keeps, in short. A term is valid for RenewDeadline after the last successful renewal was sent, by the clock
// (boot time or wall) that has advanced further. Any other holder, a deletion or a foreign edit of the Lease ends the term at
// once. A Lease that another candidate holds is never written before it has expired by this process's own observation.
// Renewal and release are compare-and-swap on the resourceVersion of this process's own last write. The Lease is released only
// after the caller's function has returned, and a caller whose function outlives the term is told to end the process.
//
//	elector, err := election.New(election.Options{Namespace: ns, Name: "kooperd", Identity: id, Leases: client})
//	err = elector.Run(ctx, func(term context.Context) error { return work(term) })
package election
