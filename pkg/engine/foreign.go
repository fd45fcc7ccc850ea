package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// crashError says how foreign code ended, if it did not return.
type crashError struct {
	text  string
	stack []byte
}

// newCrash is called in a deferred function, with the result of recover. For nil, the code called
// runtime.Goexit: deferred functions run, but there is no panic to recover.
func newCrash(recovered any) *crashError {
	text := "runtime.Goexit was called"
	if recovered != nil {
		text = fmt.Sprintf("panic: %v", recovered)
	}
	return &crashError{text: text, stack: debug.Stack()}
}

func (e *crashError) Error() string { return e.text }

// crashed returns the crash that err stands for, or nil.
func crashed(err error) *crashError {
	crash, _ := errors.AsType[*crashError](err)
	return crash
}

// runForeign runs code of a plugin and returns its error, or one that says how else it ended. The
// code has a goroutine to itself, because no deferred function can stop a runtime.Goexit.
func runForeign(f func() error) error {
	ended := make(chan error, 1)
	go func() {
		var err error
		returned := false
		defer func() {
			if !returned {
				err = newCrash(recover())
			}
			ended <- err
		}()
		err = f()
		returned = true
	}()
	return <-ended
}
