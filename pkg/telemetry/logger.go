package telemetry

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
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

// NewLogger returns a logger that writes to w, one line at a time. verbosity is the highest V level that is written: 0
// tells what an operator wants to know, 1 every call of a handler, 2 and more what a developer of kooperd wants to know, up
// to 9; below 0 only errors are written. An empty format is FormatAuto and an unknown one is an error.
func NewLogger(w io.Writer, format string, verbosity int) (logr.Logger, error) {
	opts := &slog.HandlerOptions{Level: slog.Level(-min(verbosity, clientGoLevels+clientGoMost)), ReplaceAttr: plain}
	if format == FormatAuto || format == "" {
		format = FormatJSON
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			format = FormatText
		}
	}
	switch format {
	case FormatText:
		return logr.FromSlogHandler(slog.NewTextHandler(w, opts)), nil
	case FormatJSON:
		return logr.FromSlogHandler(slog.NewJSONHandler(w, opts)), nil
	default:
		return logr.Logger{}, fmt.Errorf("making the logger: unknown format %q, want %s, %s or %s",
			format, FormatAuto, FormatText, FormatJSON)
	}
}

// plain writes V levels as INFO and DEBUG, where slog would write "INFO-1", and durations with their unit, where slog
// would write a number of nanoseconds into JSON.
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
	// clientGoMost is client-go's highest V level that is written. From the next one on it writes the bodies of requests
	// and answers, and so every Secret that a definition watches.
	clientGoMost = 7
)

// RouteKlog makes klog, through which client-go logs, write to logger. Errors are written as they are; client-go's V(0)
// becomes V(2), its V(1) becomes V(3) and so on up to verbosity, which is the one that NewLogger was given, and no further
// than V(9), its V(7): what it writes beyond are the bodies of requests and answers, with the secrets in them. client-go goes
// by the level of klog's flag and, where it has a context, by that of the logger alone, for which NewLogger has the same
// bound. klog is one in the whole process, so it is for the daemon to call, once, before anything else uses client-go.
func RouteKlog(logger logr.Logger, verbosity int) error {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	if err := flags.Set("v", strconv.Itoa(min(max(0, verbosity-clientGoLevels), clientGoMost))); err != nil {
		return fmt.Errorf("setting the verbosity of klog: %w", err)
	}
	klog.SetLoggerWithOptions(logger.V(clientGoLevels).WithName("client-go"), klog.ContextualLogger(true))
	return nil
}

// ObjectName writes an object as namespace/name, or as its name alone when it is cluster-scoped.
func ObjectName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}
