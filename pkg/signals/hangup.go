package signals

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// process is how the process was started, and what has become of SIGHUP since.
type process struct {
	// outlivesTerminal is set when SIGHUP was ignored at the start, as nohup has it.
	outlivesTerminal bool
	// hadTerminal is set when the process had a controlling terminal at the start.
	hadTerminal bool

	mu        sync.Mutex
	stops     map[chan os.Signal]bool // what receives SIGHUP when it is a request to stop
	reloading int                     // calls of Reload that have not been stopped
}

func newProcess() *process {
	return &process{
		outlivesTerminal: signal.Ignored(syscall.SIGHUP), hadTerminal: openTerminal() == nil,
		stops: map[chan os.Signal]bool{},
	}
}

// processOf returns the process of a context that descends from one of Context's, or nil.
func processOf(ctx context.Context) *process {
	p, _ := ctx.Value(contextKey{}).(*process)
	return p
}

// notifyHangup makes c receive each SIGHUP that is a request to stop.
func (p *process) notifyHangup(c chan os.Signal) {
	if p.outlivesTerminal {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stops[c] = true
	if p.reloading == 0 {
		signal.Notify(c, syscall.SIGHUP)
	}
}

// stopHangup ends notifyHangup.
func (p *process) stopHangup(c chan os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stops, c)
	signal.Stop(c)
}

// hangup passes a SIGHUP on that is a request to stop although Reload was called.
func (p *process) hangup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.stops {
		select {
		case c <- syscall.SIGHUP:
		default: // It has received one.
		}
	}
}

// takeHangup makes c receive each SIGHUP, and the channels of notifyHangup none. One signal must
// not be read twice: what it means may have changed in between.
func (p *process) takeHangup(c chan os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reloading++
	signal.Notify(c, syscall.SIGHUP)
	for stop := range p.stops {
		signal.Stop(stop)
	}
}

// giveHangupBack ends takeHangup.
func (p *process) giveHangupBack(c chan os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reloading--; p.reloading == 0 {
		for stop := range p.stops {
			signal.Notify(stop, syscall.SIGHUP)
		}
	}
	signal.Stop(c)
}
