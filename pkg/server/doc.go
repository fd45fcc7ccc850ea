// Package server is the HTTP face of kooperd: /metrics, and the profiles of the process if they are wanted, on one
// address, /livez, /readyz and /leaderz on another. The first may be kept for those whom the API server lets read it,
// and may speak TLS; the second is for probes and open to everybody.
//
// It decides nothing about health: it asks the functions it is given. It asks the API server for one thing only, who the
// holder of a bearer token is and what that user may read, and only through a Reviewer.
//
//	srv, err := server.Listen(ctx, server.Options{MetricsAddress: ":8080", HealthAddress: ":8081", …})
//	err = srv.Serve(ctx)
package server
