# SPDX-License-Identifier: Apache-2.0
"""What remora does not have is accepted as long as that makes no difference, and refused by name where it would."""
import pytest
from conftest import run_remora, wait_for

OFF = {"ssi": "server-side includes", "proxy_cache": "cache"}


def check(tmp_path, text):
    (tmp_path / "x.conf").write_text(f"pid {tmp_path}/x.pid; error_log stderr; events {{ }}\n{text}\n")
    return run_remora("-t", "-p", f"{tmp_path}/", "-c", str(tmp_path / "x.conf"))


@pytest.mark.parametrize("name", OFF)
def test_off_is_what_there_is(tmp_path, name):
    result = check(tmp_path, f"http {{ {name} off; server {{ {name} OFF; location / {{ {name} off; }} }} }}")
    assert result.returncode == 0 and f'"{name}"' not in result.stderr


@pytest.mark.parametrize("name", OFF)
def test_on_is_refused(tmp_path, name):
    result = check(tmp_path, f"http {{ {name} on; }}")
    assert result.returncode == 1 and f'"{name} on" is not supported: remora has no {OFF[name]}' in result.stderr


def test_tls_variables_are_empty_without_tls(remora):
    r = remora('''http { log_format tls '$ssl_protocol/$ssl_cipher "$http2" $status';
        access_log @DIR@/a.log tls;
        server { listen 127.0.0.1:@PORT:web@; location / { return 200 "[$ssl_client_verify$ssl_session_reused]"; } } }''')
    assert r.get("web", "/").body == b"[]"
    def logged():
        with open(r.dir + "/a.log") as f:
            return f.read()
    assert wait_for(logged, "a line in the log") == '-/- "-" 200\n'


def test_a_site_as_debian_ships_it(tmp_path):
    """The http level of Debian's nginx.conf, and what guides for WebSockets have in their locations."""
    result = check(tmp_path, """load_module modules/ngx_http_echo_module.so; http {
        sendfile on; tcp_nopush on; types_hash_max_size 2048;
        ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on;
        gzip on;
        access_log off; log_format main '$request $ssl_protocol/$ssl_cipher';
        server { listen 127.0.0.1:1;
            location / { proxy_pass http://127.0.0.1:2; proxy_cache_bypass $http_upgrade;
                proxy_ssl_server_name on; autoindex off; } } }""")
    assert result.returncode == 0, result.stderr
    for name in ("load_module", "ssl_protocols", "proxy_cache_bypass", "proxy_ssl_server_name"):
        assert f'"{name}" directive has no effect' in result.stderr


def test_what_a_module_brings_is_unknown(tmp_path):
    result = check(tmp_path, "load_module modules/ngx_http_echo_module.so; http { server { location / { echo x; } } }")
    assert result.returncode == 1 and 'unknown directive "echo"' in result.stderr
