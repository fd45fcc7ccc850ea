package signals_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY returns both ends of a pseudoterminal.
func openPTY(t *testing.T) (emulator, terminal *os.File) {
	t.Helper()
	emulator, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudoterminals here: %v", err)
	}
	t.Cleanup(func() { _ = emulator.Close() })
	fd := int(emulator.Fd()) // It blocks from now on, which is as well.
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudoterminals here: %v", err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return emulator, terminal
}

// TestHangUp shows the difference between a SIGHUP that a process sends and that of a terminal that
// goes.
func TestHangUp(t *testing.T) {
	emulator, terminal := openPTY(t)
	p := startWith(t, "reload", terminal)
	p.await(t, "ready")
	p.signal(t, syscall.SIGHUP)
	p.await(t, "reload")
	if err := emulator.Close(); err != nil {
		t.Fatal(err)
	}
	p.await(t, "stopping")
	p.signal(t, syscall.SIGHUP) // A shell and the kernel may send one each. A stop is clean all the same.
	p.signal(t, syscall.SIGTERM)
	if got := p.endedBy(t); got != syscall.SIGTERM {
		t.Errorf("it was ended by %v, want SIGTERM", got)
	}
}

func TestHangUpUnderNohup(t *testing.T) {
	emulator, terminal := openPTY(t)
	p := startWith(t, "reload", terminal, "sh", "-c", `trap "" HUP; exec "$0"`)
	p.await(t, "ready")
	if err := emulator.Close(); err != nil {
		t.Fatal(err)
	}
	p.await(t, "reload")
	p.signal(t, syscall.SIGTERM)
	p.await(t, "stopping")
	p.signal(t, syscall.SIGTERM)
	if got := p.endedBy(t); got != syscall.SIGTERM {
		t.Errorf("it was ended by %v, want SIGTERM", got)
	}
}
