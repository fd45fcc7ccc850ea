package handlerstest

import "time"

// WithTimeouts returns the same options with other deadlines of calls, and of those whose answers
// are compared.
func (o Options) WithTimeouts(call, answer time.Duration) Options {
	o.timeouts = timeouts{call: call, answer: answer}
	return o
}
