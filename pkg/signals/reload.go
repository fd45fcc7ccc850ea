package signals

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
)

// Reload makes SIGHUP a request to reload. From now on it does not end the contexts of Context and
// Next, and does not end the process either, also when that is stopping. Each leaves a note in the
// channel; one that has not been read yet stands for all that follow. This holds under nohup, too.
//
// A terminal that goes sends SIGHUP as well. So when the process had a controlling terminal at its
// start and has none any more, SIGHUP still ends these contexts, and leaves no note. Under nohup it
// is a note.
//
// The function ends this: SIGHUP means again what it did before Reload. The caller has to call it,
// as late as it can. It may be called more than once. The channel is never closed.
//
// ctx is one that descends from Context. With any other context no signal is caught, and the
// channel is nil.
func Reload(ctx context.Context) (notes <-chan struct{}, stop func()) {
	p := processOf(ctx)
	if p == nil {
		return nil, func() {}
	}
	out, over, done := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	received := make(chan os.Signal, 1)
	p.takeHangup(received)
	go func() {
		defer close(done)
		for {
			select {
			case <-received:
			case <-over:
				return
			}
			if p.terminalGone() {
				p.hangup()
				continue
			}
			select {
			case out <- struct{}{}:
			default: // A note is there that has not been read.
			}
		}
	}()
	return out, sync.OnceFunc(func() {
		p.giveHangupBack(received)
		close(over)
		<-done
	})
}

// terminalGone reports whether the process has lost its terminal, and minds. The kernel takes a
// terminal away before it sends SIGHUP.
func (p *process) terminalGone() bool {
	if p.outlivesTerminal || !p.hadTerminal {
		return false
	}
	err := openTerminal()
	return errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EIO)
}

// openTerminal opens the controlling terminal and closes it again. The error is ENXIO when there is
// none, and can be EIO when it is going.
func openTerminal() error {
	for {
		fd, err := syscall.Open("/dev/tty", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		return syscall.Close(fd)
	}
}
