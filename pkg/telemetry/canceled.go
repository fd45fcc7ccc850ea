package telemetry

import (
	"context"
	"errors"
	"slices"

	"github.com/go-logr/logr"
)

// ForClientGo returns a logger for client-go, whose code logs an error when its own caller has
// canceled a request, as a process does when it stops. That is no news: such a line is written as
// one of the logger's own level, with the error in it.
func ForClientGo(logger logr.Logger) logr.Logger {
	sink := logger.GetSink()
	if sink == nil {
		return logger // writes nothing
	}
	return logger.WithSink(canceledSink{LogSink: sink, level: logger.GetV()})
}

// canceledSink writes errors of canceled contexts as lines of its level.
type canceledSink struct {
	logr.LogSink
	level int
}

func (s canceledSink) Error(err error, msg string, keysAndValues ...any) {
	if !errors.Is(err, context.Canceled) {
		s.LogSink.Error(err, msg, keysAndValues...)
		return
	}
	if s.Enabled(s.level) {
		s.Info(s.level, msg, append(slices.Clip(keysAndValues), "err", err)...)
	}
}

func (s canceledSink) WithValues(keysAndValues ...any) logr.LogSink {
	return canceledSink{s.LogSink.WithValues(keysAndValues...), s.level}
}

func (s canceledSink) WithName(name string) logr.LogSink {
	return canceledSink{s.LogSink.WithName(name), s.level}
}
