package telemetry

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/go-logr/logr"
	"golang.org/x/term"
	"k8s.io/klog/v2"
)

// Keys of structured log lines that more than one package uses.
const (
	// KeyController is a definition's name.
	KeyController = "controller"
	// KeyObject is an object as namespace/name, or its name alone when it is cluster-scoped.
	KeyObject = "object"
	// KeyCall identifies one call of a handler in the log.
	KeyCall = "call"
	// KeyReason says why a state was entered.
	KeyReason = "reason"
)

// Log formats.
const (
	// FormatAuto is FormatText on a terminal and FormatJSON otherwise.
	FormatAuto = "auto"
	// FormatText is one line of key=value pairs.
	FormatText = "text"
	// FormatJSON is one JSON object a line.
	FormatJSON = "json"
)

// MaxVerbosity is the highest verbosity that NewLogger knows.
const MaxVerbosity = clientGoLevels + clientGoMost

// NewLogger returns a logger that writes to w, one line at a time. verbosity is the highest V level
// that is written: 0 for what an operator wants to know, 1 for every call of a handler, 2 to
// MaxVerbosity for what a developer of kooperd wants to know. Below 0 only errors are written, and
// above MaxVerbosity it is MaxVerbosity.
//
// An empty format is FormatAuto, and an unknown one is an error. When w is a LogWriter, a line says
// so after it had to drop some.
func NewLogger(w io.Writer, format string, verbosity int) (logr.Logger, error) {
	writer, _ := w.(*LogWriter)
	if format == FormatAuto || format == "" {
		format = FormatJSON
		if isTerminal(w) || (writer != nil && isTerminal(writer.out)) {
			format = FormatText
		}
	}
	newHandler, err := handlerOf(format)
	if err != nil {
		return logr.Logger{}, fmt.Errorf("making the logger: %w", err)
	}
	opts := &slog.HandlerOptions{Level: slog.Level(-min(verbosity, MaxVerbosity)), ReplaceAttr: plain}
	if writer != nil {
		writer.describe(func(dropped uint64) []byte {
			var line bytes.Buffer
			slog.New(newHandler(&line, opts)).Error("log lines were dropped, because the log could not be written", "dropped", dropped)
			return line.Bytes()
		})
	}
	return logr.FromSlogHandler(newHandler(w, opts)), nil
}

// handlerOf returns what makes the handler of a format.
func handlerOf(format string) (func(io.Writer, *slog.HandlerOptions) slog.Handler, error) {
	switch format {
	case FormatText:
		return func(w io.Writer, opts *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, opts) }, nil
	case FormatJSON:
		return func(w io.Writer, opts *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, opts) }, nil
	default:
		return nil, fmt.Errorf("unknown format %q, want %s, %s or %s", format, FormatAuto, FormatText, FormatJSON)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr }) // an os.File, or what has one
	return ok && term.IsTerminal(int(f.Fd()))
}

// plain writes V levels as INFO and DEBUG, where slog would write "INFO-1", and durations with
// their unit, where slog would write a number of nanoseconds into JSON.
func plain(groups []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	if a.Key != slog.LevelKey || len(groups) > 0 {
		return a
	}
	if level, ok := a.Value.Any().(slog.Level); ok && level < slog.LevelInfo {
		return slog.String(slog.LevelKey, "DEBUG")
	}
	return a
}

const (
	// clientGoLevels is how many V levels client-go's own lines are below those of kooperd.
	clientGoLevels = 2
	// clientGoMost is client-go's highest V level that is written. From the next one on it writes
	// the bodies of requests and answers, and so every Secret that a definition watches.
	clientGoMost = 7
)

// RouteKlog makes klog, through which client-go logs, write to logger. Errors are written as they
// are, those of canceled requests aside, see ForClientGo. client-go's V(0) becomes V(2), its V(1)
// becomes V(3), and so on up to verbosity, which is the one that NewLogger was given. Its V(7),
// which becomes V(9), is the last: above it are the bodies of requests and answers, with the
// secrets in them. client-go goes by the level of klog's flag, or by that of the logger where it
// has a context; both have the same bound.
//
// klog is one in the whole process, so the daemon calls this once, before anything else uses
// client-go.
func RouteKlog(logger logr.Logger, verbosity int) error {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	if err := flags.Set("v", strconv.Itoa(min(max(0, verbosity-clientGoLevels), clientGoMost))); err != nil {
		return fmt.Errorf("setting the verbosity of klog: %w", err)
	}
	klog.SetLoggerWithOptions(ForClientGo(logger.V(clientGoLevels).WithName("client-go")), klog.ContextualLogger(true))
	return nil
}

// ObjectName writes an object as namespace/name, or as its name alone when it is cluster-scoped.
func ObjectName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}
