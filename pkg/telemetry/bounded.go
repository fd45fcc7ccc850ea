package telemetry

import (
	"strconv"
	"sync"

	"github.com/go-logr/logr"
)

// ForCall returns a logger for one call of a handler, with the object and a name for the call. It
// costs nothing before the first line, as most calls log nothing.
//
// It is for the context of the call, too. client-go logs with the logger of a context, with its own
// levels, and from its V(8) on these lines are the bodies of requests and answers. So nothing above
// V(7) is written.
func ForCall(logger logr.Logger, namespace, name string, call uint64) logr.Logger {
	sink := logger.GetSink()
	if sink == nil {
		return logger // writes nothing
	}
	return logger.WithSink(&callSink{base: sink, namespace: namespace, name: name, call: call})
}

// callSink adds the values of a call when they are needed.
type callSink struct {
	base            logr.LogSink
	namespace, name string
	call            uint64

	once sync.Once
	full logr.LogSink
}

var _ logr.LogSink = (*callSink)(nil)

// Init does nothing, as base has been initialized.
func (s *callSink) Init(logr.RuntimeInfo) {}

func (s *callSink) Enabled(level int) bool { return level <= clientGoMost && s.base.Enabled(level) }

func (s *callSink) Info(level int, msg string, keysAndValues ...any) {
	s.whole().Info(level, msg, keysAndValues...)
}

func (s *callSink) Error(err error, msg string, keysAndValues ...any) {
	s.whole().Error(err, msg, keysAndValues...)
}

func (s *callSink) WithValues(keysAndValues ...any) logr.LogSink {
	return boundedSink{s.whole().WithValues(keysAndValues...)}
}

func (s *callSink) WithName(name string) logr.LogSink { return boundedSink{s.whole().WithName(name)} }

func (s *callSink) whole() logr.LogSink {
	s.once.Do(func() {
		s.full = s.base.WithValues(KeyObject, ObjectName(s.namespace, s.name), KeyCall, strconv.FormatUint(s.call, 36))
	})
	return s.full
}

// boundedSink writes nothing above clientGoMost.
type boundedSink struct{ logr.LogSink }

func (s boundedSink) Enabled(level int) bool {
	return level <= clientGoMost && s.LogSink.Enabled(level)
}

func (s boundedSink) WithValues(keysAndValues ...any) logr.LogSink {
	return boundedSink{s.LogSink.WithValues(keysAndValues...)}
}

func (s boundedSink) WithName(name string) logr.LogSink { return boundedSink{s.LogSink.WithName(name)} }
