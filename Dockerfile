# The app and its worker, for one person or for a team. docs/server.md says how to set it up.
#   docker build -t kenviz .                           for processors
#   docker build -t kenviz --build-arg TORCH=cu128 .   for CUDA
#   docker run -p 127.0.0.1:8501:8501 -v /etc/kenviz:/etc/kenviz:ro -e KENVIZ_SERVER=/etc/kenviz/server.toml kenviz
#   docker run -p 127.0.0.1:8501:8501 -e KENVIZ_I_KNOW=1 kenviz     for you alone: published to this machine, no login
# Without one of the two settings the container says so and ends.
# To pin the base image: --build-arg PYTHON=python:3.11-slim-bookworm@sha256:... (docs/server.md)
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ARG TORCH=cpu
WORKDIR /build
RUN python -m venv /opt/kenviz
ENV PATH=/opt/kenviz/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt requirements.lock ./
# torch first, from the index that has its builds; everything else by hash
RUN grep '^torch==' requirements.txt > torch.txt && pip install --index-url https://download.pytorch.org/whl/${TORCH} -r torch.txt
RUN pip install --require-hashes --no-deps -r requirements.lock
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY kencore kencore
COPY app app
COPY assets assets
RUN pip wheel --no-deps --no-build-isolation -w dist . && pip install --no-deps dist/*.whl && pip check

FROM ${PYTHON}
RUN useradd --create-home --uid 1000 kenviz && install -d -o kenviz -m 700 /data
COPY --from=build --chown=kenviz /opt/kenviz /opt/kenviz
USER kenviz
WORKDIR /data
ENV PATH=/opt/kenviz/bin:$PATH KENVIZ_HOME=/data PYTHONUNBUFFERED=1
# machine code of the selection rules, beside their source; a machine of another kind makes its own
RUN python -m kencore warm
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD python -c "import urllib.request as u; u.urlopen('http://localhost:8501/healthz', timeout=4)"
CMD ["kenviz", "--no-browser", "--host", "0.0.0.0"]
