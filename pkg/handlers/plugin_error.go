package handlers

import (
	"fmt"
	"runtime/debug"
)

// PluginError is a mistake in the code of a plugin: a function that is asked about a config
// panicked or called runtime.Goexit, as the FailNow of a test does.
type PluginError struct {
	// Plugin is the plugin's name.
	Plugin string
	// Func is what did not return: a field of Plugin, such as "Rules", or what was done with the
	// config in words.
	Func string
	// Panic is the value of the panic, nil for runtime.Goexit.
	Panic any
	// Stack is the stack of the panic, as debug.Stack formats it; empty for runtime.Goexit.
	Stack []byte
}

// Error names the plugin, the function and what it did, without the stack.
func (e *PluginError) Error() string {
	if e.Panic == nil {
		return fmt.Sprintf("plugin %q: %s called runtime.Goexit", e.Plugin, e.Func)
	}
	return fmt.Sprintf("plugin %q: %s panicked: %v", e.Plugin, e.Func, e.Panic)
}

// Unwrap returns the value of the panic when it is an error.
func (e *PluginError) Unwrap() error {
	err, _ := e.Panic.(error)
	return err
}

// protect runs f, which calls the plugin's code, on another goroutine and waits for it: recover
// does not see runtime.Goexit, which ends the goroutine that calls it.
func (p Plugin[C]) protect(function string, f func()) error {
	ended := make(chan error, 1)
	go func() {
		failure := &PluginError{Plugin: p.Name, Func: function}
		returned := false
		defer func() {
			if returned {
				ended <- nil
				return
			}
			if failure.Panic = recover(); failure.Panic != nil {
				failure.Stack = debug.Stack()
			}
			ended <- failure
		}()
		f()
		returned = true
	}()
	return <-ended
}
