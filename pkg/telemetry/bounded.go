package telemetry

import "github.com/go-logr/logr"

// ForCall returns a logger for the context of a handler's call. client-go takes the logger of a context for lines of its own, with
// its own levels, and from its V(8) on these are the bodies of requests and answers: what is above V(7) is not written.
func ForCall(logger logr.Logger) logr.Logger {
	sink := logger.GetSink()
	if sink == nil {
		return logger // writes nothing
	}
	return logger.WithSink(boundedSink{sink})
}

// boundedSink writes nothing above clientGoMost.
type boundedSink struct{ logr.LogSink }

// Enabled implements logr.LogSink.
func (s boundedSink) Enabled(level int) bool {
	return level <= clientGoMost && s.LogSink.Enabled(level)
}

// WithValues implements logr.LogSink.
func (s boundedSink) WithValues(keysAndValues ...any) logr.LogSink {
	return boundedSink{s.LogSink.WithValues(keysAndValues...)}
}

// WithName implements logr.LogSink.
func (s boundedSink) WithName(name string) logr.LogSink { return boundedSink{s.LogSink.WithName(name)} }
