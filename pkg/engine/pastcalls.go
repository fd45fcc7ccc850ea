package engine

import (
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/history"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/statusz"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// The results of calls, in the words of statusz.Handling.
const (
	resultDone      = "done"
	resultRequeue   = "requeue"
	resultRetry     = "retry"
	resultExhausted = "exhausted"
	resultTerminal  = "terminal"
	resultPanic     = "panic"
	resultCancelled = "cancelled"
)

// pastCalls are the calls of a definition that have ended.
type pastCalls struct {
	window *callWindow
	log    *history.Log // nil when nothing is remembered of single objects
}

// writes is how many writes of a call are to be kept.
func (p pastCalls) writes() int {
	if p.log.Enabled() {
		return history.MaxWrites
	}
	return 0
}

// changed notes what a change is about, for which the handler is going to be called.
func (p pastCalls) changed(e kube.Event) {
	if !p.log.Enabled() {
		return
	}
	if change := e.Change(); change != nil {
		p.log.Changed(e.Key, change)
	}
}

// calledBy notes which object's event is what a handler is going to be called for.
func (p pastCalls) calledBy(key kube.Key, kind string, by kube.Key) {
	if p.log.Enabled() {
		p.log.CalledBy(key, kind+"/"+telemetry.ObjectName(by.Namespace, by.Name))
	}
}

// add notes a call that has ended.
func (p pastCalls) add(item queue.Item[kube.Key], began time.Time, cause history.Cause, o outcome, next sequel) {
	p.window.add(o.duration, o.err != nil && !o.cancelled, o.call.Throttled())
	if !p.log.Enabled() {
		return
	}
	h := statusz.Handling{
		Began: began, Took: statusz.Seconds(o.duration.Seconds()), Cause: string(causes[item.Priority]), Attempt: item.Attempt + 1,
		Result: next.result,
	}
	h.Writes, h.WritesTotal = o.call.Writes()
	if o.err != nil {
		h.Error = strings.Join(strings.Fields(o.err.Error()), " ")
	}
	if next.again > 0 || next.result == resultRetry || next.result == resultPanic {
		h.Again = began.Add(o.duration + next.again)
	}
	p.log.Add(item.Key, cause, &h)
}
