package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"kooperd.dev/kooperd/test/bench/order"
)

// Patience with programs.
const (
	reportTimeout = 10 * time.Minute
	stopTimeout   = time.Minute
)

// process is one run of a program.
type process struct {
	program program
	cmd     *exec.Cmd
	started time.Time // just before exec
	report  chan order.Report
	done    chan struct{} // closed when the process has ended and err is set
	err     error
	log     string // file with its standard error
	config  string // file that kooperd reads; empty for other programs
}

// processes counts them, for the names of their files.
var processes atomic.Int64

// start runs a program with an order; kubeconfig is its way to the API server.
func (s *scene) start(p program, o order.Order, kubeconfig string) (*process, error) {
	name := filepath.Join(s.dir, fmt.Sprintf("%s-%d", p, processes.Add(1)))
	if o.Metrics == "" {
		o.Metrics = "127.0.0.1:0"
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing the order: %w", err)
	}
	var args []string
	var config string
	switch p {
	case kooperd, shipped, forgetful:
		config = name + ".json"
		if args, err = kooperdArgs(o, config); err != nil {
			return nil, err
		}
		if p == forgetful {
			args = append(args, "--history-limit=0")
		}
	case kro:
		args = kroArgs(o)
	}
	stderr, err := os.Create(name + ".log")
	if err != nil {
		return nil, fmt.Errorf("making a log file: %w", err)
	}
	proc := &process{program: p, config: config, cmd: exec.Command(filepath.Join(s.bin, string(p)), args...), log: stderr.Name(),
		report: make(chan order.Report, 1), done: make(chan struct{})}
	proc.cmd.Stderr = stderr
	proc.cmd.Env = environment("KUBECONFIG="+kubeconfig, order.Env+"="+string(text))
	proc.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdout, err := proc.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("running %s: %w", p, err)
	}
	failed := make(chan error, 1)
	go proc.run(stdout, stderr, failed)
	if err := <-failed; err != nil {
		return nil, fmt.Errorf("running %s: %w", p, err)
	}
	return proc, nil
}

// environment is that of a program: Go's own settings for the garbage collector and the scheduler,
// without a limit for memory, which kooperd would take from the cgroup otherwise.
func environment(more ...string) []string {
	own := slices.DeleteFunc(os.Environ(), func(setting string) bool {
		name, _, _ := strings.Cut(setting, "=")
		return slices.Contains([]string{"GOGC", "GODEBUG", "GOMAXPROCS", "GOMEMLIMIT"}, name)
	})
	return append(append(own, "GOMEMLIMIT=off"), more...)
}

// run starts the process and waits for it, on a thread that lives as long, because the kernel ties
// Pdeathsig to the thread.
func (p *process) run(stdout io.Reader, stderr io.Closer, failed chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	defer stderr.Close()
	p.started = time.Now()
	err := p.cmd.Start()
	failed <- err
	if err != nil {
		return
	}
	for dec := json.NewDecoder(stdout); ; {
		var r order.Report
		if dec.Decode(&r) != nil {
			break // At the end of the process; a program writes nothing but reports.
		}
		p.report <- r
	}
	p.err = p.cmd.Wait()
}

// await waits for the report.
func (p *process) await(ctx context.Context) (order.Report, error) {
	timer := time.NewTimer(reportTimeout)
	defer timer.Stop()
	select {
	case r := <-p.report:
		return r, nil
	case <-p.done:
		return order.Report{}, fmt.Errorf("%s has ended: %w\n%s", p.program, p.err, p.tail())
	case <-timer.C:
		return order.Report{}, fmt.Errorf("%s has not reported within %s\n%s", p.program, reportTimeout, p.tail())
	case <-ctx.Done():
		return order.Report{}, context.Cause(ctx)
	}
}

// stop ends the process in an orderly way.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.program, err)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	if p.err != nil {
		return fmt.Errorf("stopping %s: %w\n%s", p.program, p.err, p.tail())
	}
	return nil
}

// tail returns the end of what the process has written to its standard error.
func (p *process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// memory returns the present and the largest resident memory of the process in bytes.
func (p *process) memory() (rss, peak float64, err error) {
	status, err := p.status()
	return status["VmRSS"], status["VmHWM"], err
}

// status returns what the kernel says of the process's memory, in bytes.
func (p *process) status() (map[string]float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return nil, fmt.Errorf("reading the memory of %s: %w", p.program, err)
	}
	status := map[string]float64{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		kilobytes, isNumber := strings.CutSuffix(strings.TrimSpace(value), " kB")
		if !isNumber {
			continue
		}
		n, err := strconv.ParseFloat(kilobytes, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the memory of %s: %w", p.program, err)
		}
		status[key] = n * 1024
	}
	return status, nil
}

// ticks is how many units of /proc/PID/stat a second has, on every architecture of Linux.
const ticks = 100

// cpu returns the seconds of CPU that the process has used so far, in user and system mode.
func (p *process) cpu() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time of %s: %w", p.program, err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest) // The third field of the file is the first one here.
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading the CPU time of %s: unexpected %q", p.program, data)
	}
	var used float64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the CPU time of %s: %w", p.program, err)
		}
		used += n / ticks
	}
	return used, nil
}

// kooperdArgs writes kooperd's config and returns its command line.
func kooperdArgs(o order.Order, path string) ([]string, error) {
	if err := writeConfig(o, path); err != nil {
		return nil, err
	}
	args := []string{
		"--config", path, "--log-format", "json", "--metrics-bind-address", o.Metrics,
		"--health-probe-bind-address", cmp.Or(o.Health, "127.0.0.1:0"),
	}
	if o.Contention {
		args = append(args, "--profiling")
	}
	return args, nil
}

// writeConfig writes kooperd's config, in place of the one that may be there.
func writeConfig(o order.Order, path string) error {
	controllers := map[string]any{}
	for i := range o.Definitions {
		kind := o.KindOf(i)
		watch := map[string]any{"apiVersion": kind.GVK().GroupVersion().String(), "kind": kind.Kind}
		if len(o.Namespaces) > 0 {
			watch["namespaces"] = []string{o.Namespaces[i%len(o.Namespaces)]}
		}
		definition := map[string]any{
			"watch":   watch,
			"handler": map[string]any{"bench": map[string]any{"metadataOnly": o.View == order.Metadata}},
		}
		switch {
		case o.Hook != "":
			definition["handler"] = map[string]any{"webhook": hookConfig(o)}
		case o.Graph != "":
			definition["handler"] = map[string]any{"apply": applyConfig(o)}
		case o.Work == order.Compose:
			definition["handler"] = map[string]any{"children": map[string]any{"extra": o.Extra}}
		}
		if o.Workers > 0 {
			definition["mode"], definition["workers"] = "concurrent", o.Workers
		}
		if o.Resync > 0 {
			definition["resync"] = o.Resync.String()
		}
		if o.Failing > 0 {
			definition["retry"] = map[string]any{"initialDelay": "1h", "maxDelay": "1h"}
		}
		controllers[order.Name(i)] = definition
	}
	config := map[string]any{"apiVersion": "kooperd.dev/v1alpha1", "controllers": controllers, "leaderElection": "disabled"}
	if o.LeaseNamespace != "" {
		config["leaderElection"] = map[string]any{"namespace": o.LeaseNamespace}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil { // A reader sees all of it, or all of the one before.
		return fmt.Errorf("writing the config: %w", err)
	}
	return nil
}
