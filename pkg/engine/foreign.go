package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// errGoexit stands for what foreign code would have returned, had it not ended its goroutine.
var errGoexit = errors.New("runtime.Goexit was called: the code of the plugin ended its goroutine")

// panicError is a panic of foreign code, recovered.
type panicError struct {
	value any
	stack []byte
}

func newPanic(value any) *panicError { return &panicError{value: value, stack: debug.Stack()} }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// runForeign runs code of a plugin and returns its error, or one that says how else it ended. The
// code has a goroutine to itself, because no deferred function can stop a runtime.Goexit.
func runForeign(f func() error) error {
	ended := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			if r := recover(); r != nil {
				err = newPanic(r)
			}
			ended <- err
		}()
		err = f()
	}()
	return <-ended
}

// crashed reports whether foreign code ended by a panic or by runtime.Goexit.
func crashed(err error) bool {
	_, panicked := errors.AsType[*panicError](err)
	return panicked || errors.Is(err, errGoexit)
}
