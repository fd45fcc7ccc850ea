// Package election tests pkg/election against a real API server: what its in-memory double only
// claims about conflicts, deletions, watches, rights and connections, and that client-go's elector
// competes with ours for one Lease in both directions.
//
// It has no code outside its tests. Figures are logged: go test -v ./election/.
package election
