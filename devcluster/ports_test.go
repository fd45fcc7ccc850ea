package main

import (
	"net"
	"strconv"
	"testing"
)

func TestChoosePortsKeepsThem(t *testing.T) {
	l := layout{dir: t.TempDir()}
	first, moved, err := choosePorts(t.Context(), l, 0)
	if err != nil || moved {
		t.Fatalf("first choice: moved %v, error %v", moved, err)
	}
	for name, port := range map[string]int{"API server": first.APIServer, "etcd": first.Etcd, "controller manager": first.ControllerManager} {
		if port < lowestPort || port > highestPort {
			t.Errorf("port %d of the %s is not between %d and %d", port, name, lowestPort, highestPort)
		}
	}
	again, moved, err := choosePorts(t.Context(), l, 0)
	if err != nil || moved {
		t.Fatalf("second choice: moved %v, error %v", moved, err)
	}
	if again != first {
		t.Errorf("second choice is %+v, want %+v as before", again, first)
	}
}

func TestChoosePortsMovesAway(t *testing.T) {
	l := layout{dir: t.TempDir()}
	first, _, err := choosePorts(t.Context(), l, 0)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(first.APIServer))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	second, moved, err := choosePorts(t.Context(), l, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !moved || second.APIServer == first.APIServer {
		t.Errorf("moved is %v from port %d to %d, want another port", moved, first.APIServer, second.APIServer)
	}
	if second.Etcd != first.Etcd {
		t.Errorf("port of etcd is %d, want %d as before", second.Etcd, first.Etcd)
	}
}

func TestChoosePortsTakesTheWantedOne(t *testing.T) {
	l := layout{dir: t.TempDir()}
	first, _, err := choosePorts(t.Context(), l, 0)
	if err != nil {
		t.Fatal(err)
	}
	wanted := first.APIServer + 1
	if wanted == first.Etcd || wanted == first.ControllerManager {
		wanted += 2
	}
	got, moved, err := choosePorts(t.Context(), l, wanted)
	if err != nil {
		t.Fatal(err)
	}
	if got.APIServer != wanted || !moved {
		t.Errorf("port %d, moved %v; want port %d, moved", got.APIServer, moved, wanted)
	}
}

func TestLoadPortsRefusesGarbage(t *testing.T) {
	l := layout{dir: t.TempDir()}
	if err := writeFile(l.ports(), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := choosePorts(t.Context(), l, 0); err == nil {
		t.Error("choosing succeeded, want an error that names the file")
	}
}
