package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
	"sigs.k8s.io/yaml"
)

// etcdPeerURL is what the only member of the etcd cluster advertises to its peers. Nobody ever
// listens or dials there.
const etcdPeerURL = "http://127.0.0.1:2380"

// writeEtcdConfig writes the file, in etcd's own configuration format, that runEtcd starts from.
func writeEtcdConfig(l layout, port int, fsync bool, quotaBytes int64) error {
	config := map[string]any{
		"name":                        "devcluster",
		"data-dir":                    l.path("etcd"),
		"listen-client-urls":          etcdURL(port),
		"advertise-client-urls":       etcdURL(port),
		"initial-advertise-peer-urls": etcdPeerURL,
		"initial-cluster":             "devcluster=" + etcdPeerURL,
		"unsafe-no-fsync":             !fsync,
		"quota-backend-bytes":         quotaBytes,
		"log-level":                   "warn",
		// Without this a configuration file makes etcd log every request as slow.
		"warning-unary-request-duration": embed.DefaultWarningUnaryRequestDuration,
		"client-transport-security": map[string]any{
			"cert-file":        l.certFile(etcdCert),
			"key-file":         l.keyFile(etcdCert),
			"trusted-ca-file":  l.certFile(caCert),
			"client-cert-auth": true,
		},
	}
	data, err := yaml.Marshal(config)
	if err != nil {
		return fmt.Errorf("encoding the configuration of etcd: %w", err)
	}
	return writeFile(l.etcdConfig(), data)
}

// etcdURL is where etcd serves its clients.
func etcdURL(port int) string { return fmt.Sprintf("https://127.0.0.1:%d", port) }

// runEtcd is the etcd component: it serves from the configuration file that flags name until it is
// told to stop by a signal, or fails.
func runEtcd(flags []string, stderr io.Writer) int {
	if err := serveEtcd(flags); err != nil {
		_, _ = fmt.Fprintf(stderr, "Error: %v\n", err)
		return exitFailure
	}
	return exitOK
}

func serveEtcd(flags []string) error {
	if len(flags) != 1 {
		return errors.New("etcd wants its configuration file as the only argument")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	cfg, err := embed.ConfigFromFile(filepath.Clean(flags[0]))
	if err != nil {
		return fmt.Errorf("reading the configuration of etcd: %w", err)
	}
	cfg.ListenPeerUrls = nil
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return fmt.Errorf("starting etcd: %w", err)
	}
	defer server.Close()
	select {
	case <-signals:
		return nil
	case err := <-server.Err():
		return fmt.Errorf("serving etcd: %w", err)
	case <-server.Server.StopNotify():
		return errors.New("etcd stopped by itself")
	}
}
