// Package server answers HTTP requests: /metrics, and the profiles of the process if they are
// wanted, on one address; /livez, /readyz and /leaderz on another. The first may be restricted to
// users that the API server lets read it, and may speak TLS. The second is for probes and open to
// anyone.
//
// It decides nothing about health: it asks the functions it is given. It asks the API server for
// one thing only, through a DelegatingAuthorizer: which user a bearer token belongs to, and what
// that user may read.
//
//	srv, err := server.Listen(ctx, server.Options{MetricsAddress: ":8080", HealthAddress: ":8081", …})
//	err = srv.Serve(ctx)
package server
