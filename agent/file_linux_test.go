package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// with runs a function without what root may do, but for some of it. Without root it may do what it may.
func with(t *testing.T, do func(), capabilities ...int) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // it is not used again
		if os.Geteuid() == 0 {
			var data [2]unix.CapUserData
			for _, one := range capabilities {
				data[0].Effective |= 1 << one
			}
			data[0].Permitted = data[0].Effective
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			if err := unix.Capset(&header, &data[0]); err != nil {
				t.Error(err)
				return
			}
		}
		do()
	}()
	<-done
}

// TestFileOwner: to give files away takes the right to, and to read them back takes another one, which is said.
func TestFileOwner(t *testing.T) {
	f := fileIn(t)
	f.uid, f.gid, f.Mode = os.Geteuid(), os.Getegid(), 0o640
	if os.Geteuid() == 0 {
		f.uid, f.gid = 65534, 65534
	}
	with(t, func() {
		for _, text := range []string{"one", "two"} {
			if err := f.write([]byte(text)); err != nil {
				t.Error(err)
			}
		}
		if os.Geteuid() != 0 {
			return
		}
		if _, err := f.present(); err == nil || !strings.Contains(err.Error(), "CAP_DAC_READ_SEARCH") {
			t.Errorf("it cannot be read: %v", err)
		}
	}, unix.CAP_CHOWN)
	with(t, func() {
		if got := seen(t, f); got != digest([]byte("two")) {
			t.Error("it is not as it was written")
		}
	}, unix.CAP_DAC_READ_SEARCH)
	info, err := os.Stat(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); int(stat.Uid) != f.uid || int(stat.Gid) != f.gid || info.Mode() != fs.FileMode(f.Mode) {
		t.Errorf("it is %d:%d with %s", stat.Uid, stat.Gid, info.Mode())
	}
}

// TestDirectoryMode: directories that are made are what they should be under any umask.
func TestDirectoryMode(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	f := fileIn(t)
	f.CreateDirectory, f.Path = true, filepath.Join(filepath.Dir(f.Path), "a", "b", "f")
	if err := f.write(nil); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(f.Path); filepath.Base(dir) == "a" || filepath.Base(dir) == "b"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o750 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}
