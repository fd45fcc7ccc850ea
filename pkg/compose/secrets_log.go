package compose

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/handlers"
)

// inContext returns ctx for code of a composer: it may add what is secret, and logs by a logger
// whose lines have nothing of that in them.
func (s *redactor) inContext(ctx context.Context) context.Context {
	ctx = handlers.WithRedaction(ctx, s.addValues)
	logger, err := logr.FromContext(ctx)
	if err != nil {
		return ctx
	}
	return logr.NewContext(ctx, s.cleanLogger(logger))
}

// cleanSink is the sink of a logger that code of a composer logs by.
type cleanSink struct {
	logr.LogSink
	secrets *redactor
}

// cleanLogger returns a logger whose lines have nothing secret in them.
func (s *redactor) cleanLogger(logger logr.Logger) logr.Logger {
	sink := logger.GetSink()
	if sink == nil {
		return logger
	}
	return logger.WithSink(&cleanSink{LogSink: sink, secrets: s})
}

// Info implements logr.LogSink, and so do the others.
func (c *cleanSink) Info(level int, msg string, keysAndValues ...any) {
	c.LogSink.Info(level, c.secrets.clean(msg), c.values(keysAndValues)...)
}

func (c *cleanSink) Error(err error, msg string, keysAndValues ...any) {
	c.LogSink.Error(c.secrets.cleanError(err), c.secrets.clean(msg), c.values(keysAndValues)...)
}

func (c *cleanSink) WithValues(keysAndValues ...any) logr.LogSink {
	return &cleanSink{LogSink: c.LogSink.WithValues(c.values(keysAndValues)...), secrets: c.secrets}
}

func (c *cleanSink) WithName(name string) logr.LogSink {
	return &cleanSink{LogSink: c.LogSink.WithName(name), secrets: c.secrets}
}

// values returns values without what is secret. One that has something of it becomes a text.
func (c *cleanSink) values(values []any) []any {
	if len(c.secrets.all()) == 0 {
		return values
	}
	cleaned := slices.Clone(values)
	for i, value := range values {
		var text string
		switch value := value.(type) {
		case string:
			text = value
		case error:
			text = value.Error()
		case []byte:
			text = string(value)
		default:
			text = fmt.Sprintf("%+v", value)
		}
		if now := c.secrets.clean(text); now != text {
			cleaned[i] = now
		}
	}
	return cleaned
}
