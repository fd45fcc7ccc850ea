// Package election turns one coordination.k8s.io/v1 Lease into terms of leadership.
//
// An [Elector] competes for the Lease and calls a function for the length of a term. It shares the
// format of the Lease with client-go's tools/leaderelection, so candidates of both kinds can
// compete for one Lease, and nothing else.
//
// The rules, in short. A term is valid for RenewDeadline after the last successful renewal was
// sent, by the faster of the boot-time and the wall clock. Another holder, a deletion or an edit
// of the Lease ends it at once. A candidate leaves a Lease alone until it was released, or has
// expired by the candidate's own observation; an edit by hand never makes that earlier. Renewals
// and releases are compare-and-swap. The Lease is released only after the function has returned.
//
// Package election is no fence: who talks to the API server has to ask [Elector.Remaining] before
// each write. What the API server itself can enforce is in package fence.
//
//	elector, err := election.New(election.Options{Namespace: ns, Name: "kooperd", Identity: id, Leases: client})
//	err = elector.Run(ctx, func(term context.Context) error { return work(term) })
package election
