package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/signals"
)

// evaluateCommand is the command by which this binary evaluates a config for another process of it.
const evaluateCommand = "evaluate-config"

// evaluationRequest is what the child reads.
type evaluationRequest struct {
	Files []config.File `json:"files"`
}

// evaluationAnswer is what the child writes as the last line, with one of the first three fields.
type evaluationAnswer struct {
	Config      json.RawMessage    `json:"config,omitempty"` // by config.Encode
	Diagnostics config.Diagnostics `json:"diagnostics,omitempty"`
	Error       string             `json:"error,omitempty"`
	Imported    []string           `json:"imported,omitempty"`
}

// result returns what an evaluator does.
func (a evaluationAnswer) result(registry *handlers.Registry) (*config.Config, []string, error) {
	switch {
	case a.Error != "":
		return nil, a.Imported, &evaluationError{errors.New(a.Error)}
	case len(a.Diagnostics) > 0:
		return nil, a.Imported, a.Diagnostics
	}
	cfg, err := config.Decode(a.Config, registry)
	if err != nil {
		return nil, a.Imported, &evaluationError{err}
	}
	return cfg, a.Imported, nil
}

// evaluateArguments are the command and its flags.
func evaluateArguments(limits childLimits, memory uint64) []string {
	return []string{
		evaluateCommand, "--cpu=" + limits.cpu.String(), "--deadline=" + limits.wall.String(),
		"--memory=" + strconv.FormatUint(memory, 10),
	}
}

// newEvaluateCommand is the child's side of childEvaluator.
func newEvaluateCommand(registry *handlers.Registry) *cobra.Command {
	var cpu, deadline time.Duration
	var memory uint64
	cmd := &cobra.Command{
		Use:    evaluateCommand,
		Short:  "Evaluate a config for another process of this program",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Signals are for the parent, which ends this process when they mean that. What is sent
			// to all processes of the program's name or group must not end an evaluation.
			ctx, stop := signals.UntilCPULimit(context.WithoutCancel(cmd.Context()), &cpuLimitError{cpu})
			defer stop()
			if err := limitProcess(cpu, memory); err != nil {
				return &runError{fmt.Errorf("limiting what the evaluation takes: %w", err)}
			}
			options := config.Options{Registry: registry, Deadline: deadline, MemoryLimit: memory}
			return evaluateRequest(ctx, cmd.InOrStdin(), cmd.OutOrStdout(), options)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&cpu, "cpu", 0, "CPU time that the process may take")
	f.DurationVar(&deadline, "deadline", 0, "how long the evaluation may take")
	f.Uint64Var(&memory, "memory", 0, "bytes of memory that the process may take")
	return cmd
}

// cpuLimitError is why an evaluation ends that has taken that much CPU time.
type cpuLimitError struct{ limit time.Duration }

func (e *cpuLimitError) Error() string {
	return fmt.Sprintf("the process has taken %s of CPU time", e.limit)
}

// evaluateRequest answers one request.
func evaluateRequest(ctx context.Context, stdin io.Reader, stdout io.Writer, options config.Options) error {
	var request evaluationRequest
	if err := json.NewDecoder(stdin).Decode(&request); err != nil {
		return &runError{fmt.Errorf("reading the files: %w", err)}
	}
	text, err := json.Marshal(evaluateFiles(ctx, request.Files, options))
	if err != nil {
		return &runError{fmt.Errorf("encoding the result: %w", err)}
	}
	if len(text)+2 > maxAnswer {
		return &runError{fmt.Errorf("the config takes more than %d MiB as JSON", maxAnswer>>20)}
	}
	_, err = fmt.Fprintf(stdout, "\n%s\n", text)
	return printed(0, err)
}

func evaluateFiles(ctx context.Context, files []config.File, options config.Options) evaluationAnswer {
	read, err := config.NewFiles(files...)
	var cfg *config.Config
	var answer evaluationAnswer
	if err == nil {
		cfg, answer.Imported, err = config.Evaluate(ctx, read, options)
	}
	if exceeded, ok := errors.AsType[*cpuLimitError](err); ok {
		err = config.TooMuchCPU(read, exceeded.limit)
	}
	if err == nil {
		answer.Config, err = config.Encode(cfg)
	}
	if err != nil && !errors.As(err, &answer.Diagnostics) {
		answer.Error = err.Error()
	}
	return answer
}
