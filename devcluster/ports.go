package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// Ports are picked below the range from which systems take the local ports of outgoing connections:
// otherwise any client of anything could sit on a port of ours in the moment between two runs.
const (
	lowestPort  = 20000
	highestPort = 29999
)

// ports are the TCP ports of one devcluster on 127.0.0.1, kept in its directory for the next run.
type ports struct {
	APIServer         int `json:"kubeAPIServer"`
	Etcd              int `json:"etcd"`
	ControllerManager int `json:"kubeControllerManager"`
}

// choosePorts returns three free ports: the ones of the last run as far as they are free. The API
// server's is wanted if that is not 0, and it is an error if somebody else has it. moved reports
// that the API server had another port in the last run, so that old kubeconfigs are void.
func choosePorts(ctx context.Context, l layout, wanted int) (chosen ports, moved bool, err error) {
	last, err := loadPorts(l)
	if err != nil {
		return ports{}, false, err
	}
	var held holding
	defer func() { err = errors.Join(err, held.release()) }()
	if wanted != 0 {
		if err := held.hold(ctx, wanted); err != nil {
			return ports{}, false, fmt.Errorf("port %d of 127.0.0.1 is not free: %w", wanted, err)
		}
		chosen.APIServer = wanted
	} else if chosen.APIServer, err = held.pick(ctx, last.APIServer); err != nil {
		return ports{}, false, err
	}
	if chosen.Etcd, err = held.pick(ctx, last.Etcd); err != nil {
		return ports{}, false, err
	}
	if chosen.ControllerManager, err = held.pick(ctx, last.ControllerManager); err != nil {
		return ports{}, false, err
	}
	data, err := json.Marshal(chosen)
	if err != nil {
		return ports{}, false, fmt.Errorf("encoding the ports: %w", err)
	}
	moved = last.APIServer != 0 && last.APIServer != chosen.APIServer
	return chosen, moved, writeFile(l.ports(), append(data, '\n'))
}

func loadPorts(l layout) (ports, error) {
	var p ports
	data, err := os.ReadFile(l.ports())
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("reading the ports: %w", err)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("reading %s: %w", l.ports(), err)
	}
	return p, nil
}

// holding is a set of ports that are listened on so that nobody else is given them meanwhile.
type holding []net.Listener

func (h *holding) hold(ctx context.Context, port int) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	*h = append(*h, listener)
	return nil
}

// pick holds and returns preferred if it is a free port, else any free one.
func (h *holding) pick(ctx context.Context, preferred int) (int, error) {
	if preferred != 0 && h.hold(ctx, preferred) == nil {
		return preferred, nil
	}
	var err error
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1) //nolint:gosec // a port is no secret
		if err = h.hold(ctx, port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("finding a free port between %d and %d: %w", lowestPort, highestPort, err)
}

func (h *holding) release() error {
	var errs []error
	for _, listener := range *h {
		errs = append(errs, listener.Close())
	}
	*h = nil
	return errors.Join(errs...)
}
