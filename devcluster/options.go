package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// options is the command line of a devcluster.
type options struct {
	// dir holds everything the cluster keeps; created with mode 0700 if it does not exist.
	// Required.
	dir string
	// apiserverPort is the port to serve on; 0 means the one used before in dir, else a free one.
	apiserverPort int
	// apiserverArgs and controllerManagerArgs are extra flags as key=value. A key given here
	// replaces devcluster's own setting of it.
	apiserverArgs, controllerManagerArgs []string
	// auditLog is the file that audit events are appended to as JSON lines; empty means no audit.
	auditLog string
	// readyFile exists exactly while the cluster is ready; empty means none.
	readyFile string
	// fsync makes etcd flush every write to the disk, so that data survives a crash of the machine.
	// Without it data survives a crash of the process only, and writes are several times faster.
	fsync bool
	// etcdQuotaBytes is the size of the database at which etcd refuses writes; 0 means etcd's 2
	// GiB.
	etcdQuotaBytes int64
	// readyTimeout is how long the start may take.
	readyTimeout time.Duration
}

// bind declares the flags that fill o.
func (o *options) bind(fs *pflag.FlagSet) {
	fs.StringVar(&o.dir, "dir", "", "directory for data, certificates, logs and kubeconfig (required)")
	fs.IntVar(&o.apiserverPort, "apiserver-port", 0,
		"port of the API server on 127.0.0.1; 0 takes the port this directory used before, else a free one")
	fs.StringArrayVar(&o.apiserverArgs, "apiserver-arg", nil,
		"flag for kube-apiserver as KEY=VALUE, replacing devcluster's own setting of it; repeatable")
	fs.StringArrayVar(&o.controllerManagerArgs, "controller-manager-arg", nil,
		"flag for kube-controller-manager as KEY=VALUE, replacing devcluster's own setting of it; repeatable")
	fs.StringVar(&o.auditLog, "audit-log", "",
		"append audit events to this file as JSON lines: request bodies of writes, metadata of reads")
	fs.StringVar(&o.readyFile, "ready-file", "",
		"file that exists while the cluster is ready; it holds the path of the kubeconfig")
	fs.BoolVar(&o.fsync, "fsync", false,
		"let etcd flush every write to the disk; without it data survives kill -9 but not a power failure")
	fs.Int64Var(&o.etcdQuotaBytes, "etcd-quota-bytes", 0,
		"size of the database at which etcd refuses writes; 0 means etcd's default of 2 GiB")
	fs.DurationVar(&o.readyTimeout, "ready-timeout", 2*time.Minute, "give up when the cluster is not ready by then")
}

// complete checks o and makes its paths absolute. It touches nothing.
func (o *options) complete() error {
	if o.dir == "" {
		return errors.New("--dir is required; see devcluster --help")
	}
	if o.apiserverPort < 0 || o.apiserverPort > 65535 {
		return fmt.Errorf("--apiserver-port %d: a port is between 0 and 65535", o.apiserverPort)
	}
	if o.etcdQuotaBytes < 0 {
		return fmt.Errorf("--etcd-quota-bytes %d: must not be negative", o.etcdQuotaBytes)
	}
	if o.readyTimeout <= 0 {
		return fmt.Errorf("--ready-timeout %s: must be positive", o.readyTimeout)
	}
	for flag, args := range map[string][]string{
		"apiserver-arg": o.apiserverArgs, "controller-manager-arg": o.controllerManagerArgs,
	} {
		for _, arg := range args {
			if key, _, ok := strings.Cut(arg, "="); !ok || key == "" || strings.HasPrefix(key, "-") {
				return fmt.Errorf("--%s %q: want KEY=VALUE, like profiling=false", flag, arg)
			}
		}
	}
	for _, path := range []*string{&o.dir, &o.auditLog, &o.readyFile} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("resolving %s: %w", *path, err)
		}
		*path = abs
	}
	return nil
}

// mergeArgs turns settings of the form key=value into flags. A key that extra has is taken from
// extra alone, with all its repetitions, because many flags of the components are lists that would
// add up.
func mergeArgs(own, extra []string) []string {
	replaced := map[string]bool{}
	for _, arg := range extra {
		key, _, _ := strings.Cut(arg, "=")
		replaced[key] = true
	}
	var merged []string
	for _, arg := range own {
		if key, _, _ := strings.Cut(arg, "="); !replaced[key] {
			merged = append(merged, "--"+arg)
		}
	}
	for _, arg := range extra {
		merged = append(merged, "--"+arg)
	}
	return merged
}
