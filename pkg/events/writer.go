package events

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	clientevents "k8s.io/client-go/tools/events"
)

// grace is how long the events that a definition has recorded may take after its end. It is time
// for some more tries.
const grace = 15 * time.Second

// Drop is why an event was not written.
type Drop string

// The reasons.
const (
	// DropBudget means that the definition or the object has had too many, see Budget.
	DropBudget Drop = "budget"
	// DropQueue means that too many waited to be written.
	DropQueue Drop = "queue"
	// DropRefused means that the request was refused.
	DropRefused Drop = "refused"
	// DropTimeout means that it was tried in vain for five minutes.
	DropTimeout Drop = "timeout"
)

// Options of NewWriter.
type Options struct {
	// Logger gets what is left out and what was refused. Default: nothing is logged.
	Logger logr.Logger
	// Refused reports whether a request was not sent because it may not be, so that it is not tried
	// again: what a former leader had to say is not worth a queue. Default: none is.
	Refused func(error) bool
}

// Writer writes the events of many definitions, each with a client of its own. Nothing that is
// recorded waits for the API server. It is safe for concurrent use.
type Writer struct {
	opts    Options
	sending sync.WaitGroup

	mu          sync.Mutex
	ctx         context.Context //nolint:containedctx // that of Run, for what is recorded meanwhile
	definitions map[string]*outbox
}

// NewWriter returns a Writer that writes nothing before Run.
func NewWriter(opts Options) *Writer {
	if opts.Logger.GetSink() == nil {
		opts.Logger = logr.Discard()
	}
	if opts.Refused == nil {
		opts.Refused = func(error) bool { return false }
	}
	return &Writer{opts: opts, definitions: map[string]*outbox{}}
}

// Recorder returns the recorder of a definition whose events are limited, see Budget. An event that
// is recorded again is counted, and the count is written every ten minutes at most. dropped, nil
// for nobody, is told of each event that is not written; it is quick, and does not use the Writer.
func (w *Writer) Recorder(definition string, client eventsclient.EventsV1Interface, dropped func(Drop)) clientevents.EventRecorder {
	return &recorder{writer: w, outbox: w.open(definition, client, dropped), instance: instanceOf(definition), limited: true}
}

// ChangeRecorder is Recorder for a caller that has a Budget of its own, and records a state when it
// begins, not while it lasts. Nothing is left out for the Budget, and what is recorded again is
// written at once.
func (w *Writer) ChangeRecorder(definition string, client eventsclient.EventsV1Interface, dropped func(Drop)) clientevents.EventRecorder {
	return &recorder{writer: w, outbox: w.open(definition, client, dropped), instance: instanceOf(definition)}
}

// open returns the outbox of a definition, which may have been leaving, with its client of now.
func (w *Writer) open(definition string, client eventsclient.EventsV1Interface, dropped func(Drop)) *outbox {
	if dropped == nil {
		dropped = func(Drop) {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.definitions[definition]; o != nil && o.keep(client, dropped) {
		return o
	}
	o := newOutbox(w.opts, definition)
	o.keep(client, dropped)
	w.definitions[definition] = o
	return o
}

// Remove forgets a definition, after the time that the last of its events may take.
func (w *Writer) Remove(definition string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.definitions[definition]; o != nil {
		o.closeAfter(grace, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.definitions[definition] == o {
				delete(w.definitions, definition)
			}
		})
	}
}

// Definitions returns the definitions that it knows, and whether they are about to be forgotten.
func (w *Writer) Definitions() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]bool, len(w.definitions))
	for name, o := range w.definitions {
		all[name] = o.isLeaving()
	}
	return all
}

// Run writes what is recorded, and what was recorded before, until ctx ends. What is not written by
// then is dropped.
func (w *Writer) Run(ctx context.Context) {
	w.mu.Lock()
	w.ctx = ctx
	for _, o := range w.definitions {
		w.launch(o)
	}
	w.mu.Unlock()
	<-ctx.Done()
	w.mu.Lock()
	for _, o := range w.definitions {
		o.close()
	}
	clear(w.definitions)
	w.mu.Unlock()
	w.sending.Wait()
}

// send sees to it that what is in an outbox is written.
func (w *Writer) send(o *outbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.launch(o)
}

// launch is send with w.mu held.
func (w *Writer) launch(o *outbox) {
	if w.ctx == nil || w.ctx.Err() != nil || !o.begin() {
		return
	}
	ctx := w.ctx
	w.sending.Go(func() { o.send(ctx) })
}
