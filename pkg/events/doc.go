// Package events writes the Kubernetes events that definitions record. What is normal never uses up
// the room of warnings, and one definition or object never that of another. The name of an event
// follows from what it says, so that a state that lasts is one event, whoever records it: after a
// restart or with another leader too, as long as the API server keeps it.
//
// It is not the broadcaster of client-go, which has one queue for all that drops what does not fit,
// counts different notes as one event, and names the same event anew in each process.
//
//	w := events.NewWriter(events.Options{})
//	recorder := w.Recorder("pods", client, nil)
//	w.Run(ctx)
package events
